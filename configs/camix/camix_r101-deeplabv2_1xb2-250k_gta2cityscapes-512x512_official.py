# What the published code comes to, in place of eq. (9): it multiplies the mean cross entropy, a
# number, by the significance mask and divides by the mask's sum. The mask is computed and logged,
# and the gradients are those of _ce. Not trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(consistency=dict(normalize='official'))
