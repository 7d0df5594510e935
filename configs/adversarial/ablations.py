# AdaptSegNet, one level: the paper's cross entropy, and least squares with the weight of its
# official code. Not trained by us.
#   python tools/train.py configs/adversarial/ablations.py --row ls --cell r101-gta
seed = 0
cells = {
    'r101-gta': 'adversarial_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    'r101-synthia': 'adversarial_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760.py',
}
metrics = {'r101-synthia': 'mIoU_synthia13'}
loss = 'model.adversarial_loss'

rows = {
    # 45.9 is from the literature (DAST, Table 2).
    'adversarial': dict(text='AdaptSegNet, one level', table='1', paper=(41.4, 45.9)),
    'ls': dict(
        text='least squares',
        options={f'{loss}.mode': 'least_squares', f'{loss}.loss_weight': 0.01},
        cells=[*cells]),
}
