module tokenstore.example/tokenstore

go 1.19
