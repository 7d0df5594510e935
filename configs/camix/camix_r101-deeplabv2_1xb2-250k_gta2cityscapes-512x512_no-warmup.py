# CAMix's mixing from the first iteration, as the paper has it; its code begins with DACS's. Not
# trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(mixer=dict(warmup_iters=0))
