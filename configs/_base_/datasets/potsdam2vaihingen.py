# ISPRS, Potsdam -> Vaihingen, in crops of 512x512, 2 + 2 images. Tiles, directories and label ids
# are those of mmseg's converters potsdam.py and vaihingen.py: {img_dir,ann_dir}/{train,val}/*.png
# Label 0, the boundary, is ignored (`reduce_zero_label` of the datasets' classes). Papers that drop
# clutter: val_evaluator=dict(type='SubsetIoUMetric', subsets=dict(clear=[0, 1, 2, 3, 4]))
# Vaihingen has infrared, red and green, most copies of Potsdam red, green and blue: name the
# channels beside a number.
_base_ = ['./loveda_rural2urban.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='PotsdamDataset',
            data_root=data_root + 'potsdam',
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=_base_.source_pipeline)),
    target=dict(
        dataset=dict(
            _delete_=True,
            type='ISPRSDataset',
            data_root=data_root + 'vaihingen',
            data_prefix=dict(img_path='img_dir/train'),
            pipeline=_base_.target_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ISPRSDataset',
        data_root=data_root + 'vaihingen',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
