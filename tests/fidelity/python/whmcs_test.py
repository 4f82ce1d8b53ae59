"""whmcspy: https://github.com/Smoose-bv/whmcspy, and multipart forms as PHP clients send them."""

import unittest
import xml.etree.ElementTree as xml

import requests
import whmcspy
from whmcspy import exceptions

import sandbox

API = f"{sandbox.WHMCS}/includes/api.php"
CREDENTIAL = {"identifier": sandbox.IDENTIFIER, "secret": sandbox.SECRET}


class Whmcs(unittest.TestCase):
    def setUp(self):
        self.whmcs = whmcspy.WHMCS(API, sandbox.IDENTIFIER, sandbox.SECRET)

    def order(self):
        return self.whmcs.call(
            "AddOrder",
            clientid=1,
            paymentmethod="banktransfer",
            pid=[1, 2],
            billingcycle=["monthly", "monthly"],
        )

    def test_order_with_arrays_is_added_and_listed(self):
        made = self.order()
        services = made["serviceids"].split(",")
        self.assertEqual(len(services), 2)
        found = [
            order
            for page in self.whmcs.paginated_call("GetOrders", userid=1)
            for order in page["orders"]["order"]
            if order["id"] == made["orderid"]
        ]
        self.assertEqual(len(found), 1)
        for key in ("ordernum", "paymentmethodname", "currencysuffix", "requestor_id"):
            self.assertIn(key, found[0])

    def test_updated_service_has_every_field_that_was_written(self):
        service = self.order()["serviceids"].split(",")[0]
        self.whmcs.call(
            "UpdateClientProduct",
            serviceid=service,
            serviceusername="own",
            servicepassword="own-password",
            dedicatedip="192.0.2.1",
            recurringamount="3.50",
            nextduedate="2027-01-31",
            subscriptionid="sub-1",
            suspendreason="because",
        )
        read = self.whmcs.call("GetClientsProducts", serviceid=service)
        product = read["products"]["product"][0]
        self.assertEqual(product["username"], "own")
        self.assertEqual(product["dedicatedip"], "192.0.2.1")
        self.assertEqual(product["recurringamount"], "3.50")
        self.assertEqual(product["nextduedate"], "2027-01-31")
        self.assertEqual(product["subscriptionid"], "sub-1")
        self.assertEqual(product["suspensionreason"], "because")

    def test_error_of_the_api_is_raised(self):
        with self.assertRaises(exceptions.Error):
            self.whmcs.call("AcceptOrder", orderid=999999)

    def test_products_are_filtered_by_group_and_module(self):
        group = self.whmcs.call("GetProducts", gid=1)
        self.assertGreater(group["totalresults"], 0)
        self.assertEqual(self.whmcs.call("GetProducts", module="nope")["totalresults"], 0)

    def test_multipart_form_is_read_like_any_other(self):
        fields = {**CREDENTIAL, "action": "GetProducts", "responsetype": "json", "pid": "1"}
        parts = {name: (None, value) for name, value in fields.items()}
        answer = requests.post(API, files=parts, timeout=10).json()
        self.assertEqual(answer["totalresults"], 1)

    def test_xml_is_answered_when_asked_for(self):
        fields = {**CREDENTIAL, "action": "GetProducts", "responsetype": "xml", "pid": "1"}
        answer = requests.post(API, data=fields, timeout=10)
        root = xml.fromstring(answer.content)
        self.assertEqual(root.tag, "whmcsapi")
        self.assertEqual(root.findtext("result"), "success")
        self.assertEqual(root.findtext("products/product/pid"), "1")

    def test_installation_is_in_its_folder(self):
        self.assertTrue(sandbox.WHMCS.endswith("/billing/portal"))
        address = sandbox.WHMCS.removesuffix("/billing/portal") + "/includes/api.php"
        self.assertEqual(requests.post(address, data={}, timeout=10).status_code, 404)


if __name__ == "__main__":
    unittest.main()
