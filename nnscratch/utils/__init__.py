"""The places where torch has them: `utils.data` is `nnscratch.data`, `utils.checkpoint.checkpoint` is `nnscratch.checkpoint`."""

from . import checkpoint, data
