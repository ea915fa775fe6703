"""Which environment may use what: a laptop reaches nobody, and no environment another's warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from cio_pipelines.customerio.regions import KNOWN_ORIGINS

LABEL = "environment"
"""Label of a BigQuery dataset that says whose it is; Terraform sets it."""


def refused_address(environment: str, url: str | None) -> str | None:
    """Why requests may not go there; None when they may.

    Args:
        environment: CIO_ENV.
        url: where an API is, None for Customer.io's own host of the region.
    """
    if environment != "local" or (url is not None and not _is_customerio(url)):
        return None
    return (
        "CIO_ENV is local, and these credentials are for a workspace at Customer.io: nothing was sent. Set "
        "CIO_ENV=staging, or prod, if you mean that workspace; unset CUSTOMERIO_SITE_ID and "
        "CUSTOMERIO_TRACK_API_KEY, or set CUSTOMERIO_TRACK_URL and CUSTOMERIO_APP_URL, for a sandbox."
    )


def refused_dataset(environment: str, dataset: str, labels: Mapping[str, str]) -> str | None:
    """Why a dataset may not be used; None when it may. One without the label is nobody's in particular."""
    owner = labels.get(LABEL)
    if owner is None or owner == environment:
        return None
    return (
        f"CIO_ENV is {environment}, and the dataset {dataset} is labelled {LABEL}={owner}: nothing was read "
        f"or written. Set CIO_ENV={owner} if you mean it, or let WAREHOUSE_URL name a project of your own."
    )


def _is_customerio(url: str) -> bool:
    own = {urlsplit(origin).hostname for origin in KNOWN_ORIGINS}
    return urlsplit(url).hostname in own
