# DACS, and some labelled images of the target as a second source: half of the source's batch.
_base_ = ['./dacs.py']
train_dataloader = dict(source=[
    dict(_base_.train_dataloader.source, ratio=1),
    dict(
        _base_.train_dataloader.source,
        ratio=1,
        num_images=20,
        dataset=dict(
            _base_.train_dataloader.source.dataset, data_root=_base_.data_root + 'camvid_day'))
])
