# Spatial prior and contextual relations, with cross entropy in place of SRC: 54.1 mIoU in the paper
# (Table 4; 54.2 in Table 5); not trained by us. The mean is over all pixels, as in DACS.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(significance=None, consistency=dict(normalize='official'))
