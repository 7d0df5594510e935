# DAST's stage 1 and what it is compared with (Tables 1 to 3), and our own rows, with the paper's mIoU,
# on SYNTHIA over 16 classes; not trained by us.
# For the shares of pseudo labels (Table 4) run the cell r101-gta-q of dast_pipeline.py.
#   python tools/train.py configs/dast/ablations.py --row 2d --cell r101-gta
#   python tools/run_pipeline.py configs/dast/ablations.py
seed = 0
cells = {
    'vgg16-gta': 'dast_vgg16-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
    'r101-gta': 'dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
    'vgg16-synthia': 'dast_vgg16-deeplabv2_1xb1-150k_synthia2cityscapes-1280x760.py',
    'r101-synthia': 'dast_r101-deeplabv2_1xb1-150k_synthia2cityscapes-1280x760.py',
}
figures = {  # of the first validation images: the paper does not say which it shows
    'figure3': dict(rows=['da'], kind='discriminator', images=3),
}
attention = 'model.segmentor.attention'
gta, synthia = 'gta2cityscapes-1280x720', 'synthia2cityscapes-1280x760'
source_only = '../source_only/source-only_{}-deeplabv2_1xb1-120k_{}.py'
branches = {'model.segmentor.decode_head.aspp_branches': 2}
projection = {'model.segmentor.backbone.projection_shortcut': True}

rows = {
    # On SYNTHIA the paper gives it over 13 classes: 27.4 and 38.6 mIoU.
    'source-only': dict(
        text='source only, 120,000 iterations',
        table='1, 2',
        config={
            'vgg16-gta': source_only.format('vgg16', f'{gta}_sgd'),
            'r101-gta': source_only.format('r101', gta),
            'vgg16-synthia': source_only.format('vgg16', f'{synthia}_sgd'),
            'r101-synthia': source_only.format('r101', synthia),
        },
        cells=[*cells],
        paper=(26.1, 36.6)),
    # AdaptSegNet. Our choice: as many iterations as the rows below, where its code stops, too.
    'baseline': dict(
        text='baseline (AdaptSegNet, one level)',
        table='2, 3',
        config={
            'vgg16-gta': '{cell}_mse.py',
            'r101-gta': '{cell}_mse.py',
            'r101-synthia': f'../adversarial/adversarial_r101-deeplabv2_1xb1-120k_{synthia}.py',
        },
        cell_options={'r101-synthia': {'train_cfg.max_iters': 150000}},
        options={
            'model.adversarial_loss.mode': 'bce',
            'model.adversarial_loss.loss_weight': 0.001,  # lambda_adv
            'model.adversarial_loss.disc_weight': 0.5
        },
        paper=(35.0, 41.4, None, 39.5)),
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
    'da': dict(
        text='discriminator attention', table='1, 2, 3', paper=(38.8, 44.8, 34.2, 40.8)),
    # The published code of both networks: a `return` inside its loop drops two branches.
    'aspp2': dict(
        text='two branches of the classifier',
        options=branches,
        cells=[*cells]),
    # The published code: a convolution with random weights in place of an identity.
    'projection': dict(
        text="a projection around layer4's third bottleneck",
        options=projection,
        cells=['r101-gta']),
    'code-network': dict(
        text='the network of the published code: both of the above',
        options={**branches, **projection},
        cells=['r101-gta', 'r101-synthia']),
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
