"""Password of the journal's database from a file, as secrets are given to containers."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import JournalConfig


def with_password(journal: JournalConfig) -> JournalConfig:
    """The configuration with the password of `password_file` in its address.

    libpq's own PGPASSFILE has to be readable by its owner alone, which files of Kubernetes and Compose are not.

    Args:
        journal: Configuration of the journal.

    Raises:
        UsageError: The file cannot be read or is empty, the journal is no PostgreSQL, or its address has a password.
    """
    if journal.password_file is None:
        return journal
    url = journal.url
    if url is None or urlsplit(url).scheme not in ("postgresql", "postgres"):
        given = "none" if url is None else url
        raise UsageError(f"journal.password_file: given for the journal {given}; only postgresql:// has a password")
    if urlsplit(url).password is not None:
        raise UsageError("journal.password_file: given beside a password in journal.url; leave one of them out")
    try:
        password = Path(journal.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"journal.password_file: {journal.password_file} cannot be read: {reason}") from error
    if not password:
        raise UsageError(f"journal.password_file: {journal.password_file} is empty; a line with the password is needed")
    scheme, _, rest = url.partition("://")
    place, slash, database = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if not at:
        raise UsageError("journal.password_file: journal.url names no user; postgresql://USER@HOST/DATABASE is needed")
    address = f"{scheme}://{user}:{quote(password, safe='')}@{hosts}{slash}{database}"
    return msgspec.structs.replace(journal, url=address, password_file=None)
