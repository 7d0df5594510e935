# CamVid by day -> CamVid at dusk. Dusk is drive 0001TP: its first half is the unlabelled training
# set, its second half the validation set.
_base_ = ['./synth_street2camvid_day.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'

train_dataloader = dict(
    source=dict(dataset=dict(data_root=data_root + 'camvid_day')),
    target=dict(dataset=dict(data_root=data_root + 'camvid_dusk')))
val_dataloader = dict(dataset=dict(data_root=data_root + 'camvid_dusk'))
test_dataloader = val_dataloader
