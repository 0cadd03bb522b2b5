"""The Huijinbao provider (汇金宝): an asynchronous client of its interface, version 2."""
