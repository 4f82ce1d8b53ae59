"""simple-salesforce: https://simple-salesforce.readthedocs.io"""

import unittest
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

import sandbox

DOMAIN = "fidelity.my"


class MyDomain(HTTPAdapter):
    """Sends what is meant for a My Domain of the vendor, which the library insists on, to the sandbox."""

    def send(self, request, **options):
        request.headers["Host"] = urlsplit(request.url).netloc
        path = urlsplit(request.url).path
        request.url = sandbox.LOGIN + path
        return super().send(request, **options)


def log_in():
    session = requests.Session()
    session.mount(f"https://{DOMAIN}.salesforce.com", MyDomain())
    return Salesforce(
        username=sandbox.USERNAME,
        consumer_key=sandbox.CLIENT_ID,
        privatekey_file=sandbox.KEY_FILE,
        domain=DOMAIN,
        session=session,
        version="66.0",
    )


class SimpleSalesforce(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.org = log_in()
        cls.account = cls.org.Account.create({"Name": "From Python"})["id"]

    def order(self, **fields):
        return {
            "AccountId": self.account,
            "EffectiveDate": "2026-12-01",
            "Status": "Pending Review",
            **fields,
        }

    def test_record_is_created_read_updated_and_deleted(self):
        made = self.org.Contact.create({"AccountId": self.account, "LastName": "Py"})
        self.assertTrue(made["success"])
        self.assertEqual(self.org.Contact.update(made["id"], {"Phone": "3"}), 204)
        read = self.org.Contact.get(made["id"])
        self.assertEqual(read["Phone"], "3")
        self.assertTrue(read["OwnerId"].startswith("005"))
        self.assertEqual(self.org.Contact.delete(made["id"]), 204)
        with self.assertRaises(SalesforceResourceNotFound):
            self.org.Contact.get(made["id"])

    def test_upsert_and_read_by_external_id(self):
        self.assertEqual(
            self.org.Order.upsert("Portal_Order_Key__c/py-1", self.order()), 201
        )
        self.assertIn(
            self.org.Order.upsert("Portal_Order_Key__c/py-1", {"Description": "x"}),
            (200, 204),
        )
        read = self.org.Order.get_by_custom_id("Portal_Order_Key__c", "py-1")
        self.assertEqual(read["Description"], "x")

    def test_external_id_in_the_body_of_an_upsert_is_refused(self):
        with self.assertRaises(SalesforceMalformedRequest) as raised:
            self.org.Order.upsert(
                "Portal_Order_Key__c/py-2", self.order(Portal_Order_Key__c="py-2")
            )
        self.assertEqual(raised.exception.content[0]["errorCode"], "INVALID_FIELD")

    def test_row_is_deleted_by_external_id(self):
        self.org.Order.upsert("Portal_Order_Key__c/py-3", self.order())
        answer = self.org.Order.delete("Portal_Order_Key__c/py-3")
        self.assertEqual(answer, 204)
        with self.assertRaises(SalesforceResourceNotFound):
            self.org.Order.get_by_custom_id("Portal_Order_Key__c", "py-3")

    def test_query_pages_and_reads_child_rows(self):
        placed = sandbox.control("POST", "/orders", {"lines": [[0, 1], [1, 1]]})["id"]
        found = self.org.query_all(
            f"SELECT Id, (SELECT Id, Quantity FROM OrderItems) FROM Order WHERE Id = '{placed}'"
        )
        self.assertEqual(found["records"][0]["OrderItems"]["totalSize"], 2)
        rows = [{"LastName": "Many", "AccountId": self.account} for _ in range(2100)]
        for at in range(0, len(rows), 200):
            self.org.restful(
                "composite/sobjects",
                method="POST",
                json={
                    "records": [
                        {"attributes": {"type": "Contact"}, **row}
                        for row in rows[at : at + 200]
                    ]
                },
            )
        first = self.org.query("SELECT Id FROM Contact WHERE LastName = 'Many'")
        self.assertFalse(first["done"])
        self.assertEqual(len(first["records"]), 2000)
        every = self.org.query_all("SELECT Id FROM Contact WHERE LastName = 'Many'")
        self.assertEqual(len({row["Id"] for row in every["records"]}), 2100)

    def test_query_all_includes_deleted_rows(self):
        made = self.org.Contact.create({"AccountId": self.account, "LastName": "Gone"})
        self.org.Contact.delete(made["id"])
        text = f"SELECT Id FROM Contact WHERE Id = '{made['id']}'"
        self.assertEqual(self.org.query(text)["totalSize"], 0)
        self.assertEqual(self.org.query(text, include_deleted=True)["totalSize"], 1)

    def test_malformed_query_is_refused(self):
        with self.assertRaises(SalesforceMalformedRequest):
            self.org.query("SELECT FROM")

    def test_describe_limits_and_user(self):
        self.assertIn("Order", [one["name"] for one in self.org.describe()["sobjects"]])
        self.assertTrue(self.org.Order.describe()["fields"])
        self.assertTrue(self.org.Order.metadata()["objectDescribe"]["queryable"])
        self.assertGreater(self.org.limits()["DailyApiRequests"]["Max"], 0)
        info = self.org.oauth2("userinfo")
        self.assertEqual(info["preferred_username"], sandbox.USERNAME)
        self.assertTrue(self.org.is_sandbox())

    def test_composite_is_rolled_back_as_a_whole(self):
        parts = self.org.restful(
            "composite",
            method="POST",
            json={
                "allOrNone": True,
                "compositeRequest": [
                    {
                        "method": "POST",
                        "referenceId": "contact",
                        "url": "/services/data/v66.0/sobjects/Contact",
                        "body": {"LastName": "Never", "AccountId": self.account},
                    },
                    {
                        "method": "POST",
                        "referenceId": "broken",
                        "url": "/services/data/v66.0/sobjects/Contact",
                        "body": {"AccountId": "@{contact.id}"},
                    },
                ],
            },
        )["compositeResponse"]
        self.assertEqual([part["httpStatusCode"] for part in parts], [400, 400])
        found = self.org.query("SELECT Id FROM Contact WHERE LastName = 'Never'")
        self.assertEqual(found["totalSize"], 0)

    def test_session_is_renewed_after_it_was_revoked(self):
        org = log_in()
        sandbox.control("POST", "/knobs", {"revoke_tokens": True})
        type(self).org = log_in()
        self.assertEqual(org.query("SELECT Id FROM Organization")["totalSize"], 1)


if __name__ == "__main__":
    unittest.main()
