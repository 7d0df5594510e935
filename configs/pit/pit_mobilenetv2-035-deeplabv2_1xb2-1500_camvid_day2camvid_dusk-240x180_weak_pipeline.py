# PIT with given image-level labels: from the two domains to the exported segmentor.
own = 'pit_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180_weak.py'
labels = {'train_dataloader.target.dataset.pipeline.1.label_file': '{image_labels}'}

seed = 0
stages = [
    dict(
        name='image_labels',
        type='image_labels',
        config=own,
        from_labels='presence',
        options={
            'train_dataloader.target.dataset.data_prefix.seg_map_path': 'labels/train',
            'train_dataloader.target.dataset.seg_map_suffix': '.png'
        }),
    dict(
        name='pit',
        type='train',
        config=own,
        options={'train_cfg.val_interval': 1500, **labels}),  # the last checkpoint counts
    dict(name='test', type='test', config=own, checkpoint='{pit}', options=labels),
    dict(name='export', type='export', config=own, checkpoint='{pit}', options=labels),
]
