"""The Alipay provider: an asynchronous client of the v2 gateway (`gateway.do`)."""
