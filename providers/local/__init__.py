"""Files, folders and symlinks of this node, confined to the roots that the settings name.

Every change is one atomic step of the file system (a rename, a link, an unlink), prepared under a name made from the
idempotency key, so that after any crash ``find`` tells before from after from neither. Read ``driver.py`` first: it
is the life of every operation here; ``file.py``, ``directory.py`` and ``symlink.py`` only say what differs. Who may
come in: the registry, by ``DRIVERS``.
"""

from providers.local.directory import LocalDirectory
from providers.local.file import LocalFile
from providers.local.symlink import LocalSymlink

DRIVERS = (LocalFile, LocalDirectory, LocalSymlink)

__all__ = ["DRIVERS", "LocalDirectory", "LocalFile", "LocalSymlink"]
