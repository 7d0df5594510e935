# The attention weighs the corrector's loss too, as the text says; the published code leaves it out.
# Not trained by us.
_base_ = ['./dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py']
model = dict(reweight_corrector=True)
