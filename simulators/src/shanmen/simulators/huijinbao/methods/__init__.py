"""The methods of the interface, by subject; `table` is the list of them."""
