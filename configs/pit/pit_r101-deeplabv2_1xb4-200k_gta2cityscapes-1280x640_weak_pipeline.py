# PIT with given image-level labels, from raw data to the final number: 52.9 mIoU in the paper
# (Table 5). Not run by us.
own = 'pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640_weak.py'
labels = {'train_dataloader.target.dataset.pipeline.1.label_file': '{image_labels}'}

seed = 0
stages = [
    dict(
        name='image_labels',
        type='image_labels',
        config=own,
        from_labels='presence',
        options={'train_dataloader.target.dataset.data_prefix.seg_map_path': 'gtFine/train'}),
    dict(name='pit', type='train', config=own, options=labels),
    dict(name='test', type='test', config=own, checkpoint='{pit}', options=labels),
    dict(name='export', type='export', config=own, checkpoint='{pit}', options=labels),
]
