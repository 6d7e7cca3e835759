module tokenstore.example/examples

go 1.19
