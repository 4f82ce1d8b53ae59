//! Objects and fields of the org: the standard ones, with those that `deploy/salesforce` deploys.
use std::sync::LazyLock;

use super::{
    metadata,
    shape::{Field, Kind, Object},
};

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
        external_id: false,
        createable: true,
        updateable: true,
    }
}
const fn required(name: &'static str, kind: Kind) -> Field {
    let mut made = field(name, kind);
    made.required = true;
    made
}
const fn system(name: &'static str, kind: Kind) -> Field {
    let mut made = field(name, kind);
    made.createable = false;
    made.updateable = false;
    made
}
const fn fixed(name: &'static str, kind: Kind) -> Field {
    let mut made = required(name, kind);
    made.updateable = false;
    made
}

const ID: Field = system("Id", Kind::Id);
const CREATED: Field = system("CreatedDate", Kind::DateTime);
const MODIFIED: Field = system("LastModifiedDate", Kind::DateTime);
const STAMP: Field = system("SystemModstamp", Kind::DateTime);

const ACCOUNT: Object = Object {
    name: "Account",
    prefix: "001",
    fields: &[
        ID,
        required("Name", Kind::Text(255)),
        field("AccountNumber", Kind::Text(40)),
        field("Phone", Kind::Text(40)),
        field("BillingStreet", Kind::Text(255)),
        field("BillingCity", Kind::Text(40)),
        field("BillingState", Kind::Text(80)),
        field("BillingPostalCode", Kind::Text(20)),
        field("BillingCountry", Kind::Text(80)),
        field("BillingCountryCode", Kind::Text(10)),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[
        ("Contacts", "Contact", "AccountId"),
        ("Orders", "Order", "AccountId"),
    ],
};

const CONTACT: Object = Object {
    name: "Contact",
    prefix: "003",
    fields: &[
        ID,
        field("AccountId", Kind::Reference("Account", "Account")),
        field("FirstName", Kind::Text(40)),
        required("LastName", Kind::Text(80)),
        field("Email", Kind::Text(80)),
        field("Phone", Kind::Text(40)),
        field("MailingStreet", Kind::Text(255)),
        field("MailingCity", Kind::Text(40)),
        field("MailingState", Kind::Text(80)),
        field("MailingPostalCode", Kind::Text(20)),
        field("MailingCountry", Kind::Text(80)),
        field("MailingCountryCode", Kind::Text(10)),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[],
};

const PRODUCT: Object = Object {
    name: "Product2",
    prefix: "01t",
    fields: &[
        ID,
        required("Name", Kind::Text(255)),
        field("ProductCode", Kind::Text(255)),
        field("IsActive", Kind::Checkbox),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[("PricebookEntries", "PricebookEntry", "Product2Id")],
};

const PRICEBOOK: Object = Object {
    name: "Pricebook2",
    prefix: "01s",
    fields: &[
        ID,
        required("Name", Kind::Text(255)),
        field("IsActive", Kind::Checkbox),
        field("IsStandard", Kind::Checkbox),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[("PricebookEntries", "PricebookEntry", "Pricebook2Id")],
};

const ENTRY: Object = Object {
    name: "PricebookEntry",
    prefix: "01u",
    fields: &[
        ID,
        fixed("Pricebook2Id", Kind::Reference("Pricebook2", "Pricebook2")),
        fixed("Product2Id", Kind::Reference("Product2", "Product2")),
        required("UnitPrice", Kind::Number(16, 2)),
        field("IsActive", Kind::Checkbox),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[],
};

const ORDER: Object = Object {
    name: "Order",
    prefix: "801",
    fields: &[
        ID,
        system("OrderNumber", Kind::Text(30)),
        required("AccountId", Kind::Reference("Account", "Account")),
        required("EffectiveDate", Kind::Date),
        field("EndDate", Kind::Date),
        // Its values are those of the deployed value set.
        required("Status", Kind::Picklist(&[])),
        system("StatusCode", Kind::Picklist(&["Draft", "Activated"])),
        field("Pricebook2Id", Kind::Reference("Pricebook2", "Pricebook2")),
        field(
            "BillToContactId",
            Kind::Reference("Contact", "BillToContact"),
        ),
        field(
            "ShipToContactId",
            Kind::Reference("Contact", "ShipToContact"),
        ),
        field("BillingStreet", Kind::Text(255)),
        field("BillingCity", Kind::Text(40)),
        field("BillingState", Kind::Text(80)),
        field("BillingStateCode", Kind::Text(10)),
        field("BillingPostalCode", Kind::Text(20)),
        field("BillingCountry", Kind::Text(80)),
        field("BillingCountryCode", Kind::Text(10)),
        field("Description", Kind::LongText(32_000)),
        field("PoNumber", Kind::Text(80)),
        field("CurrencyIsoCode", Kind::Text(3)),
        system("TotalAmount", Kind::Number(16, 2)),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[("OrderItems", "OrderItem", "OrderId")],
};

const ITEM: Object = Object {
    name: "OrderItem",
    prefix: "802",
    fields: &[
        ID,
        system("OrderItemNumber", Kind::Text(30)),
        fixed("OrderId", Kind::Reference("Order", "Order")),
        fixed(
            "PricebookEntryId",
            Kind::Reference("PricebookEntry", "PricebookEntry"),
        ),
        system("Product2Id", Kind::Reference("Product2", "Product2")),
        required("Quantity", Kind::Number(16, 2)),
        required("UnitPrice", Kind::Number(16, 2)),
        system("ListPrice", Kind::Number(16, 2)),
        system("TotalPrice", Kind::Number(16, 2)),
        field("Description", Kind::Text(255)),
        field("ServiceDate", Kind::Date),
        field("EndDate", Kind::Date),
        CREATED,
        MODIFIED,
        STAMP,
    ],
    children: &[],
};

const ORDER_STATUS: Object = Object {
    name: "OrderStatus",
    prefix: "00O",
    fields: &[
        ID,
        system("ApiName", Kind::Text(255)),
        system("MasterLabel", Kind::Text(255)),
        system("StatusCode", Kind::Text(40)),
        system("IsDefault", Kind::Checkbox),
        system("SortOrder", Kind::Number(9, 0)),
    ],
    children: &[],
};

const ORGANIZATION: Object = Object {
    name: "Organization",
    prefix: "00D",
    fields: &[
        ID,
        system("Name", Kind::Text(80)),
        system("InstanceName", Kind::Text(5)),
        system("IsSandbox", Kind::Checkbox),
        system("OrganizationType", Kind::Text(40)),
        system("NamespacePrefix", Kind::Text(15)),
        system("TrialExpirationDate", Kind::DateTime),
    ],
    children: &[],
};

const USER: Object = Object {
    name: "User",
    prefix: "005",
    fields: &[
        ID,
        system("Username", Kind::Text(80)),
        system("Name", Kind::Text(121)),
        system("Email", Kind::Text(128)),
        system("IsActive", Kind::Checkbox),
    ],
    children: &[],
};

/// Fields of every object whose rows users create.
const AUDIT: [Field; 3] = [
    system("IsDeleted", Kind::Checkbox),
    system("CreatedById", Kind::Reference("User", "CreatedBy")),
    system(
        "LastModifiedById",
        Kind::Reference("User", "LastModifiedBy"),
    ),
];

/// Objects whose rows have an owner of their own.
const OWNED: [&str; 3] = ["Account", "Contact", "Order"];

const STANDARD: [Object; 10] = [
    ACCOUNT,
    CONTACT,
    PRODUCT,
    PRICEBOOK,
    ENTRY,
    ORDER,
    ITEM,
    ORDER_STATUS,
    ORGANIZATION,
    USER,
];

pub(super) static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(|| {
    let mut objects = Vec::from(STANDARD);
    for object in &mut objects {
        let mut fields = object.fields.to_vec();
        for field in &mut fields {
            if (object.name, field.name) == ("Order", "Status") {
                let statuses = metadata::ORDER_STATUSES.iter().map(|(name, _)| *name);
                field.kind = Kind::Picklist(statuses.collect::<Vec<_>>().leak());
            }
        }
        fields.extend(metadata::fields_of(object.name));
        if object.fields.iter().any(|field| field.name == CREATED.name) {
            fields.extend(AUDIT);
        }
        if OWNED.contains(&object.name) {
            fields.push(field("OwnerId", Kind::Reference("User", "Owner")));
        }
        // Once per process.
        object.fields = fields.leak();
    }
    objects
});
