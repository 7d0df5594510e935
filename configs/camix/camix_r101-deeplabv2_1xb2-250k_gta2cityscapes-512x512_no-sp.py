# Contextual relations without the spatial prior, Q = 1; not in the paper, not trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(mixer=dict(prior=None))
