# Mixing: DACS with DAST's attention. Training starts from DAST's first stage, whose discoverer
# stays as it is: no gradient reaches it. The discoverer attends mixed images, and target images in
# the teacher and at test time; see README.md. Not in a paper, not trained by us.
_base_ = [
    '../_base_/models/deeplabv2_r101_caffe.py', '../_base_/datasets/gta2cityscapes_512x512.py',
    '../_base_/schedules/sgd_250k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=dict(
        _base_.model,
        type='AttendedSegmentor',
        segmentor_type='EncoderDecoder',
        attention=dict(
            type='DiscriminatorAttention',
            attend_at='backbone.layer4.1',
            discriminator=dict(
                type='FCDiscriminator',
                in_channels=2048,
                channels=(1024, 512, 256),
                kernel_size=3,
                stride=1,
                padding=1))),
    teacher=dict(type='EMATeacher', alpha=0.99, mode='train'),
    mixer=dict(type='ClassMix', direction='source2target'),
    augment=dict(type='StrongAugment'),
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    label_weight='batch_ratio')
load_from = 'work_dirs/dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720/iter_150000.pth'
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
