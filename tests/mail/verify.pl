# What Perl's Mail::DKIM says of letters: perl verify.pl [--record NAME TEXT]... LETTER..., with these records as the DNS.
# One line for each letter, with "selector=result" for each of its signatures, those on top first.
use strict;
use warnings;
use Mail::DKIM::Verifier;
use Net::DNS::RR;

my %records;
while (@ARGV && $ARGV[0] eq '--record') {
    my (undef, $name, $text) = splice @ARGV, 0, 3;
    $records{$name} = Net::DNS::RR->new(name => $name, type => 'TXT', txtdata => [$text =~ /(.{1,255})/gs]);
}
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub { return grep { defined } $records{$_[0]} };
}
for my $path (@ARGV) {
    open my $letter, '<:raw', $path or die "$path: $!";
    my $verifier = Mail::DKIM::Verifier->new;
    $verifier->load($letter);
    print join(' ', map { $_->selector . '=' . $_->result } $verifier->signatures), "\n";
}
