"""The service describes itself."""

from shanmen.common.app import create_app
from shanmen.verification.domain import RefusalCode
from shanmen.verification.main import SERVICE


def test_the_document_shows_scans_and_their_reasons() -> None:
    document = create_app(SERVICE).openapi()

    post = document["paths"]["/v1/scans"]["post"]
    assert post["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ScanView"
    }
    assert document["components"]["schemas"]["RefusalCode"]["enum"] == list(RefusalCode)
    names = [
        parameter["name"] for parameter in document["paths"]["/v1/scans"]["get"]["parameters"]
    ]
    assert {"from", "to", "verdict", "ticket_no", "spot_id", "limit", "cursor"} == set(names)
