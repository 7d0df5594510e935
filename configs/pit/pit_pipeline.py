# PIT from raw data to the final number. In the paper VGG-16 and ResNet-101 have 41.8 and 50.6 mIoU
# on GTA5 (Table 1), 38.1 and 44.0 over 16 classes on SYNTHIA (Table 2). The cells *-weak are given
# image-level labels: 43.8, 52.9, 42.4 and 47.3 (Table 5). Run by us on the small pairs only.
#   python tools/run_pipeline.py configs/pit/pit_pipeline.py --cell r101-gta
def stages_of(config, often={}, **image_labels):
    labels = {'train_dataloader.target.dataset.pipeline.1.label_file': '{image_labels}'}
    return [
        dict(name='image_labels', type='image_labels', config=config, **image_labels),
        dict(name='pit', type='train', config=config, options={**often, **labels}),
        dict(name='test', type='test', config=config, checkpoint='{pit}', options=labels),
        dict(name='export', type='export', config=config, checkpoint='{pit}', options=labels),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
paper = {
    'vgg16-gta': 'pit_vgg16-fcn8s_1xb4-200k_gta2cityscapes-1280x640.py',
    'r101-gta': 'pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py',
    'vgg16-synthia': 'pit_vgg16-fcn8s_1xb4-200k_synthia2cityscapes-1280x760.py',
    'r101-synthia': 'pit_r101-deeplabv2_1xb4-200k_synthia2cityscapes-1280x760.py',
}
small = {
    'small-day': 'pit_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py',
    'small-dusk': 'pit_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py',
}
# Sec. 5.2, multinomial logistic regression: rate 1e-4, times 0.99 per epoch, at least 1e-6.
# Our choice: 30 epochs, batch 4, images at the input size of Inception-ResNet-v2.
regression = dict(features='timm:inception_resnet_v2', lr=1e-4, epochs=30)
# The network's own backbone with its ImageNet weights; few images, hence a higher rate.
small_regression = dict(features='config', lr=3e-3, epochs=30)
last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
target = 'train_dataloader.target.dataset'

cells = {
    **{cell: stages_of(config, **regression) for cell, config in paper.items()},
    **{cell: stages_of(config, last, **small_regression) for cell, config in small.items()},
    **{
        f'{cell}-weak': stages_of(
            f'ablations.py:weak:{cell}',
            from_labels='presence',
            options={f'{target}.data_prefix.seg_map_path': 'gtFine/train'})
        for cell in paper
    },
    **{
        f'{cell}-weak': stages_of(
            f'ablations.py:weak:{cell}',
            last,
            from_labels='presence',
            options={
                f'{target}.data_prefix.seg_map_path': 'labels/train',
                f'{target}.seg_map_suffix': '.png'
            })
        for cell in small
    },
}
