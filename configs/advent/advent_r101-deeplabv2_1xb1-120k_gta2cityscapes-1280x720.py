# AdvEnt, which its paper combines with MinEnt: 45.5 mIoU of both networks' mean logits (as in
# PIT, Table 1). Not trained by us.
_base_ = ['../adversarial/adversarial_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720_multi.py']
model = dict(align='self_information')  # Eq. (1), per class
train_cfg = dict(max_iters=120000)
