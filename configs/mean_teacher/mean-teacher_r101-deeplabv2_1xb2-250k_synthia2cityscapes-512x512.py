# Mean teacher, no mixing: 45.9 mIoU over 13 classes in CAMix's paper (Table 6); not trained by us.
# Otherwise as on GTA5.
_base_ = [
    '../_base_/models/deeplabv2_r101_coco.py', '../_base_/datasets/synthia2cityscapes_512x512.py',
    '../_base_/schedules/sgd_250k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=_base_.model,
    teacher=dict(
        type='EMATeacher',  # Eq. (3)
        alpha=0.99,  # not in the paper: the published code
        mode='train'),  # batch statistics in the teacher: the published code
    augment=dict(type='StrongAugment'),  # Sec. 4.2: colour jitter and blur of DACS
    # Our choice: cross entropy with the teacher's arg-max, averaged over all pixels as in DACS.
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    # lambda_con, Sec. 4.2, "as DACS": the share of the batch's pixels above 0.968 (DACS's code).
    label_weight='batch_ratio',
    pseudo_threshold=0.968)
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
