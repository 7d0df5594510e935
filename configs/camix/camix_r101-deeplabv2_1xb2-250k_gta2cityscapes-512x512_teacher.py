# Tests see the teacher, as Algorithm 1 ends; the paper's number is the student's by its code. Not
# trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(eval_on='teacher')
