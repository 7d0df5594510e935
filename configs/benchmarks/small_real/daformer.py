# All parts of DAFormer but the network, as in ../../daformer: dacs_rcs_fd_margins.py with a teacher
# without dropout. Its average is that of the other mean teachers here.
_base_ = ['./dacs_rcs_fd_margins.py']
model = dict(teacher=dict(mode='batch_statistics'))
