# GTA5 -> Mapillary Vistas (labels of v1.2) in crops of 512x512, 2 + 2 images. Layout of mmseg:
# mapillary/training/images/*.jpg, mapillary/validation/{images,v1.2/labels}
# The 66 labels become Cityscapes' 19 classes by `label_map`, that of VFM-UDA++. Other papers map by
# other rules (lane markings and parking are road, street lights are poles): numbers under two maps
# cannot be compared.
_base_ = ['./cityscapes2acdc.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
classes = ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
           'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
           'motorcycle', 'bicycle')
label_map = {
    13: 'road', 24: 'road', 41: 'road',  # road, lane marking, manhole
    2: 'sidewalk', 15: 'sidewalk',  # curb, sidewalk
    17: 'building',
    6: 'wall',
    3: 'fence',
    45: 'pole', 47: 'pole',  # pole, utility pole
    48: 'traffic light',
    50: 'traffic sign',  # front
    30: 'vegetation',
    29: 'terrain',
    27: 'sky',
    19: 'person',
    20: 'rider', 21: 'rider', 22: 'rider',  # bicyclist, motorcyclist, other
    55: 'car',
    61: 'truck',
    54: 'bus',
    58: 'train',  # on rails
    57: 'motorcycle',
    52: 'bicycle'
}
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(1280, 720), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
# Images have many sizes, most of them 4:3.
resize = dict(type='ResizeShortestEdge', scale=640, max_size=5120)
target_pipeline = [
    dict(type='LoadImageFromFile'), resize,
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=1.),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'), resize,
    dict(type='LoadMappedAnnotations', classes=classes, label_map=label_map, others='ignore'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='GTADataset',
            data_root=data_root + 'gta',
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            ann_file='train.txt',
            pipeline=source_pipeline)),
    target=dict(
        dataset=dict(
            _delete_=True,
            type='StreetDataset',
            data_root=data_root + 'mapillary',
            data_prefix=dict(img_path='training/images'),
            img_suffix='.jpg',
            pipeline=target_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='StreetDataset',
        data_root=data_root + 'mapillary',
        data_prefix=dict(
            img_path='validation/images', seg_map_path='validation/v1.2/labels'),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
