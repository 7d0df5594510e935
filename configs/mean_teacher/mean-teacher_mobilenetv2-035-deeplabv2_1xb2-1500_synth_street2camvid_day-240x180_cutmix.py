_base_ = ['./mean-teacher_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py']
model = dict(mixer=dict(type='CutMix'))
