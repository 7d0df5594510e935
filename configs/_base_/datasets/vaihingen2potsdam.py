# ISPRS, Vaihingen -> Potsdam, as potsdam2vaihingen.py.
_base_ = ['./loveda_rural2urban.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='ISPRSDataset',
            data_root=data_root + 'vaihingen',
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=_base_.source_pipeline)),
    target=dict(
        dataset=dict(
            _delete_=True,
            type='PotsdamDataset',
            data_root=data_root + 'potsdam',
            data_prefix=dict(img_path='img_dir/train'),
            pipeline=_base_.target_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PotsdamDataset',
        data_root=data_root + 'potsdam',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
