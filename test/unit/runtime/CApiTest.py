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


class Options(ctypes.Structure):
    _fields_ = [("max_tokens", ctypes.c_int64), ("sampling", ctypes.c_void_p),
                ("stops", ctypes.POINTER(ctypes.c_char_p)),
                ("stop_count", ctypes.c_size_t), ("ignore_eos", ctypes.c_int32)]


def generated(limit, stops=()):
    heard = []

    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32,
                      ctypes.POINTER(ctypes.c_char), ctypes.c_size_t)
    def on_token(user, token, text, count):
        heard.append((token, text[:count]))
        return len(heard) == limit

    texts = (ctypes.c_char_p * len(stops))(*stops)
    options = Options(12, None, texts, len(stops), 1)
    finish = ctypes.c_int()
    assert fairy2.fairy2_generate(session, 0, tokens, 3, ctypes.byref(options),
                                  on_token, None, ctypes.byref(finish)) == 0
    return heard, b"".join(text for _, text in heard), finish.value


everything, text, finish = generated(0)
assert len(everything) == 12 and finish == 2, (everything, finish)
assert all(token >= 0 for token, _ in everything)
stopped, before, finish = generated(0, [text[4:6]])
assert finish == 1 and before == text[:text.index(text[4:6])], before
cancelled, _, finish = generated(3)
assert finish == 4 and cancelled == everything[:3]
fairy2.fairy2_session_free(session)
