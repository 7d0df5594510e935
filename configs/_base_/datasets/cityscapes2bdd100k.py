# Cityscapes -> BDD100K (the 10k set), as cityscapes2acdc.py; 1280x720 becomes 960x540. Layout of
# mmseg: bdd100k/images/10k/<split>/*.jpg, bdd100k/labels/sem_seg/masks/<split>/*.png
_base_ = ['./cityscapes2acdc.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
train_dataloader = dict(
    target=dict(
        dataset=dict(
            _delete_=True,
            type='BDD100KDataset',
            data_root=data_root + 'bdd100k',
            data_prefix=dict(img_path='images/10k/train'),
            pipeline=_base_.target_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='BDD100KDataset',
        data_root=data_root + 'bdd100k',
        data_prefix=dict(
            img_path='images/10k/val', seg_map_path='labels/sem_seg/masks/val'),
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
