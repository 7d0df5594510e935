# DAST's ablations of stage 1 (Table 3) and our own rows, with the paper's mIoU; not trained by us.
# For the shares of pseudo labels (Table 4) run the cell r101-gta-q of dast_pipeline.py.
#   python tools/train.py configs/dast/ablations.py --row 2d --cell r101-gta
#   python tools/run_pipeline.py configs/dast/ablations.py
seed = 0
cells = {
    'vgg16-gta': 'dast_vgg16-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
    'r101-gta': 'dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
}
attention = 'model.segmentor.attention'

rows = {
    # AdaptSegNet. Our choice: as many iterations as the rows below, where its code stops, too.
    'baseline': dict(
        text='baseline (AdaptSegNet, one level)',
        table='3',
        config='{cell}_mse.py',
        options={
            'model.adversarial_loss.mode': 'bce',
            'model.adversarial_loss.loss_weight': 0.001,  # lambda_adv
            'model.adversarial_loss.disc_weight': 0.5
        },
        paper=(35.0, 41.4)),
    # The corrector without the discoverer.
    'mse': dict(
        text='+MSE, the baseline (AdaptSegNet) with least squares',
        table='3',
        config='{cell}_mse.py',
        paper=(35.9, 43.4)),
    '2d': dict(
        text='+MSE+2D, two discriminators without attention',
        table='3',
        options={f'{attention}.attend': False},
        paper=(37.2, 43.9)),
    'da': dict(text='discriminator attention', table='1, 3', paper=(38.8, 44.8)),
    # The published code of both networks: a `return` inside its loop drops two branches.
    'aspp2': dict(
        text='two branches of the classifier',
        options={'model.segmentor.decode_head.aspp_branches': 2},
        cells=[*cells]),
    # The published code: a convolution with random weights in place of an identity.
    'projection': dict(
        text="a projection around layer4's third bottleneck",
        options={'model.segmentor.backbone.projection_shortcut': True},
        cells=['r101-gta']),
    'detach': dict(
        text='no gradient through the attention into the features; the published code has it',
        options={f'{attention}.detach': True},
        cells=['r101-gta']),
    'plain-test': dict(
        text='tested without the attention and so the discoverer; the published code keeps it',
        options={f'{attention}.test_attention': False},
        cells=['r101-gta']),
    'reweight': dict(
        text="the attention weighs the corrector's loss too, as in the text, not in the code",
        options={'model.reweight_corrector': True},
        cells=['r101-gta']),
}
