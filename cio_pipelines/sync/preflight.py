"""Are these the credentials of the right workspace? Asked once, before anything is sent."""

from __future__ import annotations

from cio_pipelines.customerio import Forbidden, NotFound, Region, TrackClient, UnexpectedResponse
from cio_pipelines.customerio.errors import ConfigurationError


async def check_region(client: TrackClient, region: Region) -> str | None:
    """What could not be verified, None when credentials and region are right.

    Raises Unauthorized, ConfigurationError for a workspace of another region, and whatever says that nobody
    answers. An endpoint that is missing is no reason to stop: a proxy may know the batch calls only.
    """
    try:
        account = await client.region()
    except (NotFound, Forbidden, UnexpectedResponse) as error:
        return f"The region was not verified: {error}"
    if account.region is not region:
        raise ConfigurationError(
            f"the workspace is in region {account.region}, not {region}",
            field="CUSTOMERIO_REGION",
            remedy=f"Set CUSTOMERIO_REGION={account.region}.",
        )
    return None
