# Least squares with the weight of AdaptSegNet's official code in place of the paper's cross entropy;
# not trained by us.
#   python tools/train.py configs/adversarial/ablations.py --row ls --cell r101-gta
seed = 0
cells = {
    'r101-gta': 'adversarial_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    'r101-synthia': 'adversarial_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760.py',
}
metrics = {'r101-synthia': 'mIoU_synthia13'}
loss = 'model.adversarial_loss'

rows = {
    # 45.9 is the literature's (DAST, Table 2).
    'adversarial': dict(text='AdaptSegNet, one level', table='1', paper=(41.4, 45.9)),
    'ls': dict(
        text='least squares',
        options={f'{loss}.mode': 'least_squares', f'{loss}.loss_weight': 0.01},
        cells=[*cells]),
}
