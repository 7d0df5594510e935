# The spatial prior alone, no contextual relations, no SRC: 53.1 mIoU in the paper (Table 4); not
# trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(
    mixer=dict(meta_classes=dict(_delete_=True)),
    significance=None,
    consistency=dict(normalize='official'))
