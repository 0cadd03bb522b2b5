"""Daily bills: a zip with a detail and a summary CSV, as Alipay's bill download gives them.

`trade` is the acquiring business (交易 and 退款), `signcustomer` every movement of the account.
"""
