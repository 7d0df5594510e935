# Stage A, Sec. 4.1: a self-attention module and a segmentor are trained together on the source.
# sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py takes the module only.
_base_ = [
    '../_base_/models/deeplabv2_r101_caffe.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/sgd_120k_sam.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SourceOnly',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='SelfAttentionHead',
            self_attention=dict(
                type='SelfAttentionModule', kernel_size=1),  # our choice: not in the paper
            attend='logits',  # before upsampling, Sec. 4.1
            skip=True,  # the loss is on o + o^, Sec. 4.1
            classifier=_base_.model.decode_head)))
