# CDANet's ablations (Tables 3 to 5) with the paper's mIoU; on SYNTHIA it is over 13 classes with
# ResNet-101 and over 16 with VGG-16. Not trained by us. A single row needs pseudo labels that exist
# already: README.md. A run of the table makes them, on translated source images.
#   python tools/train.py configs/cdanet/ablations.py --row cd-sam --cell r101-gta
#   python tools/run_pipeline.py configs/cdanet/ablations.py --cell r101-gta
seed = 0
pipeline = 'cdanet_pipeline.py'
links = {'train_dataloader.target.dataset.pipeline.1.pseudo_dir': '{labels}'}
figures = {  # of the first validation images: the paper does not say which it shows
    'figure5': dict(rows=['base', 'cd-sam', 'cd-cam', 'cdanet'], kind='prediction', images=3),
    'figure6': dict(rows=['cdanet'], kind='points'),
}
cells = {
    'vgg16-gta': 'cdanet_vgg16-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    'r101-gta': 'cdanet_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    'vgg16-synthia': 'cdanet_vgg16-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760.py',
    'r101-synthia': 'cdanet_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760.py',
}
metrics = {'r101-synthia': 'mIoU_synthia13'}
spatial, channel = (
    f'model.segmentor.decode_head.{kind}_weight' for kind in ('spatial', 'channel'))


def weights(value):
    return {spatial: value, channel: value}  # lambda, xi


def adam(rate):
    return dict(optimizer=dict(type='Adam', lr=rate, betas=(0.9, 0.99)))


# Without attention there is no optimizer for it; these are the values of adam_120k.py.
without_optimizer = {
    'optim_wrapper.optimizers':
    dict(_delete_=True, student=adam(1e-5), discriminators=adam(1e-6)),
    'param_scheduler':
    [dict(type='StepLR', step_size=50000, gamma=0.1, begin=0, end=120000, by_epoch=False)],
}

rows = {
    'cdanet': dict(text='CDANet', table='1, 2, 3, 4', paper=(44.9, 49.2, 40.8, 52.4)),
    'base': dict(
        text='no attention',
        table='3, 4',
        options=weights(None),
        cell_options={
            'vgg16-gta': without_optimizer,
            'vgg16-synthia': without_optimizer,
            'r101-synthia': {  # sgd_120k.py; r101-gta: CDANet's keys, same classifier's rate
                'optim_wrapper.optimizers.student.paramwise_cfg.custom_keys': dict(
                    _delete_=True, decode_head=dict(lr_mult=10.))
            },
        },
        paper=(41.3, 48.5, 39.0, 51.4)),
    'cd-cam': dict(
        text='CD-CAM alone',
        table='3, 4',
        options={spatial: None},
        paper=(43.6, 48.8, 40.0, 52.0)),
    'cd-sam': dict(
        text='CD-SAM alone',
        table='3, 4',
        options={channel: None},
        paper=(43.7, 49.0, 40.2, 51.8)),
    'weight-0p1': dict(
        text='lambda = xi = 0.1', table='5', options=weights(0.1), paper=(43.7, )),
    'weight-10': dict(text='lambda = xi = 10', table='5', options=weights(10.), paper=(40.6, )),
    # Nearest to the paper, but the result depends on the images stored (our choice: 4, seed 0).
    'reference': dict(
        text='a test image attends to fixed source images, as in training, instead of to itself',
        options={
            'model.segmentor.decode_head.test_context': 'reference',
            'custom_hooks': [
                dict(type='UDAVisualizationHook', interval=1000),
                dict(type='HealthHook', interval=100),
                dict(type='ReferenceContextHook', num_images=4, seed=0)
            ]
        },
        cells=['r101-gta']),
}
