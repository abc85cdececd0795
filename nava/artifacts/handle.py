"""The handle, under the name of the contracts; defined in `nava.runtime.handle`."""

from nava.runtime.handle import Handle

__all__ = ["Handle"]
