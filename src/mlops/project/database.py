"""The database in ``DATABASE_URL``, asked; what goes wrong there is said in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops.project.errors import MlopsError, first_line

if TYPE_CHECKING:
    from sqlalchemy import Connection

ADDRESS = "DATABASE_URL"  # the variable with a database's address, which no file may hold


@contextmanager
def connected() -> "Iterator[Connection]":
    """Connect to it, for a query.

    Raises
    ------
    MlopsError
        When there is no address or no driver, or the block's query is not answered.
    """
    import sqlalchemy

    if not (address := os.environ.get(ADDRESS)):
        raise MlopsError(
            f"the variable {ADDRESS} is not set; set it to the database's address, such as "
            "postgresql://user:password@host/name, and nothing will write it down"
        )
    try:
        with sqlalchemy.create_engine(address).connect() as connection:
            yield connection
    except MlopsError:
        raise
    except ModuleNotFoundError as error:
        raise MlopsError(
            f"{error.name}, with which this database is asked, is not installed; add its package "
            "to the dependencies in pyproject.toml, and run `make lock setup`"
        ) from None
    except Exception as error:  # of any driver; its words may hold the address
        said = first_line(error).replace(address, ADDRESS)
        raise MlopsError(f"the database does not answer the query ({said}); correct it") from None
