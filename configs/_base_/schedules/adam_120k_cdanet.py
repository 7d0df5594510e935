# CDANet with VGG-16, Sec. 4.2: Adam in steps for the network, SGD with poly for the attention.
# A parameter goes to the longest key that fits its name: `student` gets the backbone,
# `student.decode_head` the attention. Adam treats each parameter by itself, so two Adams with equal
# settings act as one.
# Our choice: the attention includes the convolutions around its modules and the aggregation; the
# discriminators' rate falls in steps too, as in BDL.
_base_ = ['./adam_120k.py']
optim_wrapper = dict(
    optimizers={
        'student.decode_head.classifier': dict(
            optimizer=dict(type='Adam', lr=1e-5, betas=(0.9, 0.99))),
        'student.decode_head': dict(
            optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, weight_decay=5e-4)),
    })
param_scheduler = {
    '_delete_': True,
    'student': _base_.param_scheduler,
    'student.decode_head.classifier': _base_.param_scheduler,
    'student.decode_head': [
        dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=250000, by_epoch=False)
    ],
    'discriminators': _base_.param_scheduler,
}
