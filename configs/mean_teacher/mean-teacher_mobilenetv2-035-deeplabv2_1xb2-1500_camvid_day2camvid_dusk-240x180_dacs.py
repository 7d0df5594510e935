_base_ = ['./mean-teacher_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py']
model = dict(mixer=dict(type='ClassMix'))
