"""Customer.io's Track API as a library: typed or pre-encoded operations in, a truthful result for each out.

Start at `TrackClient` (async) or `SyncTrackClient`; operations are in `operations.py`, errors in `errors.py`.
"""

from cio_pipelines.customerio.blocking import SyncTrackClient
from cio_pipelines.customerio.encoding import EncodedOperations
from cio_pipelines.customerio.errors import (
    BadRequest,
    ConfigurationError,
    CustomerIOError,
    DeadlineExceeded,
    ErrorDetail,
    Forbidden,
    InvalidOperation,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    ResponseError,
    RetryBudgetExhausted,
    ServerError,
    TransportError,
    Unauthorized,
    UnexpectedResponse,
)
from cio_pipelines.customerio.identifiers import AnonymousIdentifiers, ObjectIdentifiers, PersonIdentifiers
from cio_pipelines.customerio.members import Device, Relationship
from cio_pipelines.customerio.operations import (
    AddObjectRelationships,
    AddPersonDevice,
    AddPersonRelationships,
    DeleteObject,
    DeleteObjectRelationships,
    DeletePerson,
    DeletePersonDevice,
    DeletePersonRelationships,
    DeliveryEvent,
    IdentifyAnonymousObject,
    IdentifyObject,
    IdentifyPerson,
    MergePeople,
    Operation,
    PersonEvent,
    PersonPage,
    PersonScreen,
    SuppressPerson,
    UnsuppressPerson,
)
from cio_pipelines.customerio.regions import AccountRegion, Region
from cio_pipelines.customerio.replies import Rejection
from cio_pipelines.customerio.results import SendResult
from cio_pipelines.customerio.retry import RetryPolicy, Timeouts
from cio_pipelines.customerio.telemetry import CallEvent
from cio_pipelines.customerio.track import TrackClient

__all__ = [
    "AccountRegion",
    "AddObjectRelationships",
    "AddPersonDevice",
    "AddPersonRelationships",
    "AnonymousIdentifiers",
    "BadRequest",
    "CallEvent",
    "ConfigurationError",
    "CustomerIOError",
    "DeadlineExceeded",
    "DeleteObject",
    "DeleteObjectRelationships",
    "DeletePerson",
    "DeletePersonDevice",
    "DeletePersonRelationships",
    "DeliveryEvent",
    "Device",
    "EncodedOperations",
    "ErrorDetail",
    "Forbidden",
    "IdentifyAnonymousObject",
    "IdentifyObject",
    "IdentifyPerson",
    "InvalidOperation",
    "MergePeople",
    "NotFound",
    "ObjectIdentifiers",
    "Operation",
    "PayloadTooLarge",
    "PersonEvent",
    "PersonIdentifiers",
    "PersonPage",
    "PersonScreen",
    "RateLimited",
    "Region",
    "Rejection",
    "Relationship",
    "ResponseError",
    "RetryBudgetExhausted",
    "RetryPolicy",
    "SendResult",
    "ServerError",
    "SuppressPerson",
    "SyncTrackClient",
    "Timeouts",
    "TrackClient",
    "TransportError",
    "Unauthorized",
    "UnexpectedResponse",
    "UnsuppressPerson",
]
