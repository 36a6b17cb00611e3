# SPDX-License-Identifier: Apache-2.0
#
# The C interface from Python, by ctypes alone. Arguments: libfairy2.so and the
# fake model.
import ctypes
import sys

fairy2 = ctypes.CDLL(sys.argv[1])
fairy2.fairy2_last_error.restype = ctypes.c_char_p
model, session = ctypes.c_void_p(), ctypes.c_void_p()
assert fairy2.fairy2_open(sys.argv[2].encode(), ctypes.byref(model)) == 0
assert fairy2.fairy2_session_new(model, None, ctypes.byref(session)) == 0
logits = (ctypes.c_float * fairy2.fairy2_vocab_size(model))()
tokens = (ctypes.c_int32 * 3)(1, 4, 9)
assert fairy2.fairy2_eval(session, 0, tokens, 3, 0, logits) == 0
assert logits[1] == 42 * 11
assert fairy2.fairy2_open(b"absent", ctypes.byref(model)) == 2
assert b"cannot open" in fairy2.fairy2_last_error()
fairy2.fairy2_session_free(session)
