# PIT: from the two domains to the exported segmentor.
own = 'pit_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py'
labels = {'train_dataloader.target.dataset.pipeline.1.label_file': '{image_labels}'}

seed = 0
stages = [
    # The network's own backbone with its ImageNet weights; few images, hence a higher rate.
    dict(
        name='image_labels',
        type='image_labels',
        config=own,
        features='config',
        lr=3e-3,
        epochs=30),
    dict(
        name='pit',
        type='train',
        config=own,
        options={'train_cfg.val_interval': 1500, **labels}),  # the last checkpoint counts
    dict(name='test', type='test', config=own, checkpoint='{pit}', options=labels),
    dict(name='export', type='export', config=own, checkpoint='{pit}', options=labels),
]
