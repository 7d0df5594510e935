# The plain mean teacher on images as they are, without strong augmentation.
_base_ = ['./mean_teacher.py']
model = dict(augment=None)
